"""`python -m benchmarks`: hermes, the floor and the Node reference in one run, and a profile of hermes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.profile import profile_tables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = HERE / "work"
NODE = "node-sdk-json-session-send"
PEERS = ("upstream-direct", NODE)
PY_SPY = "py-spy==0.4.3"

# The bench's upstream knows sendMessage only; linking an account also asks whose token it is.
_SEND_MESSAGE = r"    location ~ ^/bot[^/]+/sendMessage$ {"
_GET_ME = (
    '    location ~ "^/bot([0-9]+):[^/]+/getMe$" {\n'
    '      return 200 \'{"ok":true,"result":{"id":$1,"is_bot":true,"first_name":"Bench","username":"bench_bot"}}\';\n'
    "    }\n"
)


def main() -> int:
    options = _options()
    if not (options.source / "bench.py").is_file():
        print(
            f"The peers and the load generator are not in {options.source}; say where with --source.", file=sys.stderr
        )
        return 1
    _prepare(options.source)
    output = WORK / "results" / "latest.json"
    output.unlink(missing_ok=True)
    subjects = "|".join(f"^{name}$" for name in PEERS) + f"|{options.hermes}"
    command = ["./run.sh", "--only", subjects, "--rounds", str(options.rounds), "--secs", str(options.secs),
               "--conc", options.conc, "--retries", str(options.retries), "--out", str(output)]  # fmt: skip
    environment = os.environ | {
        "HERMES_BENCH_BIN": str(Path(sys.executable).parent / "hermes"),
        "HERMES_BENCH_PROFILE": str(options.profile),
    }
    status = subprocess.run(command, cwd=WORK, env=environment, check=False).returncode
    if status or not output.exists():
        return status or 1
    results = json.loads(output.read_text())
    print("\n" + ratios(results))
    for raw in sorted((WORK / "results").glob("profile-*.txt")):
        print(f"\n## Profile: {raw.stem.removeprefix('profile-')}, 16 in flight\n\n{profile_tables(raw)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--source", type=Path, default=ROOT.parent / "shared" / "bench", help="where the bench is")
    parser.add_argument("--hermes", default="^hermes-", help="which of hermes' subjects, a regular expression")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=int, default=4, help="of each measurement")
    parser.add_argument("--conc", default="1,16,64", help="requests in flight")
    parser.add_argument("--retries", type=int, default=3, help="of a measurement that other processes disturbed")
    parser.add_argument("--profile", type=int, default=5, metavar="SECS", help="length of the profile; 0: none")
    return parser.parse_args()


def _prepare(source: Path) -> None:
    """Copy the bench beside us, set it up once, and plug hermes in."""
    for path in source.rglob("*"):
        if path.is_file():
            target = WORK / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(0o755 if os.access(path, os.X_OK) or path.suffix == ".sh" else 0o644)
    if not (WORK / "node/node_modules/express").is_dir() or not (WORK / "venv/py/bin/uvicorn").is_file():
        subprocess.run(["./setup.sh"], cwd=WORK, check=True)
    if not (WORK / "venv/py/bin/py-spy").is_file():
        subprocess.run(["venv/py/bin/pip", "install", "--quiet", PY_SPY], cwd=WORK, check=True)
    upstream = WORK / "infra/nginx.conf"
    upstream.write_text(upstream.read_text().replace(_SEND_MESSAGE, _GET_ME + _SEND_MESSAGE))
    for folder in ("subjects.d", "run", "results"):
        (WORK / folder).mkdir(exist_ok=True)
    for raw in (WORK / "results").glob("profile-*.txt"):
        raw.unlink()
    shutil.copyfile(HERE / "subjects.d/hermes.py", WORK / "subjects.d/hermes.py")


def ratios(results: dict[str, Any]) -> str:
    """Every subject beside the Node reference (times its calls per second), its latency and its memory."""
    subjects = {subject["name"]: subject["res"] for subject in results["subjects"]}
    reference = subjects.get(NODE)
    if reference is None:
        return f"{NODE} was not measured, so there is nothing to compare with."
    concurrencies = list(reference)

    def median(name: str, concurrency: str, value: str) -> float:
        measured = subjects[name][concurrency]
        return statistics.median(run[value] for run in measured) if measured else float("nan")

    head = " | ".join(f"× {NODE}, {concurrency} in flight" for concurrency in concurrencies)
    lines = [f"| subject | {head} | p50 ms, {concurrencies[0]} in flight | RSS MB |",
             "|---|" + "---:|" * (len(concurrencies) + 2)]  # fmt: skip
    for name in subjects:
        times = " | ".join(f"{median(name, c, 'rps') / median(NODE, c, 'rps'):.2f}" for c in concurrencies)
        p50 = median(name, concurrencies[0], "p50") / 1000
        lines.append(f"| {name} | {times} | {p50:.2f} | {median(name, concurrencies[-1], 'rss'):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

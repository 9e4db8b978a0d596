// The official TypeScript client as a program that the tests command line by line: one JSON object in, one out.
//
//   node typescript_client.mjs SERVER CALLBACK
//
//   {"do": "connect"}                     → {"tools": [names]}, or {"open": URL} when a person has to agree first
//   {"do": "finish", "code": CODE}        → {"client_id": ID}: the person has agreed
//   {"do": "call", "name", "arguments"}   → {"text", "error": whether it is one}, {"open": URL}, or {"refused": status}
//   {"do": "ask", "scope": SCOPES}        → {"open": URL}: ask the person for more
//   {"do": "spoil"}                       → {}: from now on as if the access token had expired
//   {"do": "tokens"}                      → the tokens that are kept

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [server, callback, modules] = process.argv.slice(2);
const load = async (name) => import(pathToFileURL(createRequire(`${modules}/`).resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { auth, UnauthorizedError } = await load("@modelcontextprotocol/sdk/client/auth.js");

class Kept {
  redirectUrl = callback;
  clientMetadata = {
    client_name: "TypeScript client",
    redirect_uris: [callback],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.kept;
  saveTokens = (tokens) => void (this.kept = tokens);
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  redirectToAuthorization = (url) => void (this.open = url.href);
  invalidateCredentials = () => void (this.kept = undefined);
}

const kept = new Kept();
let client;
let transport;

const commands = {
  async connect() {
    transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: kept });
    client = new Client({ name: "typescript-client", version: "1.0.0" });
    await client.connect(transport);
    const { tools } = await client.listTools();
    return { tools: tools.map((tool) => tool.name) };
  },
  async finish({ code }) {
    await transport.finishAuth(code);
    return { client_id: kept.client.client_id };
  },
  async call({ name, arguments: given }) {
    const result = await client.callTool({ name, arguments: given });
    return { text: result.content[0].text, error: result.isError === true };
  },
  async ask({ scope }) {
    // The SDK first renews the token that it has, whose scope cannot grow (RFC 6749, 6): a client drops it to ask anew.
    kept.kept = undefined;
    await auth(kept, { serverUrl: server, scope });
    return { open: kept.open };
  },
  async spoil() {
    kept.kept = { ...kept.kept, access_token: `${kept.kept.access_token}x` };
    return {};
  },
  async tokens() {
    return kept.kept;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command.do](command);
  } catch (error) {
    if (error instanceof UnauthorizedError) answer = { open: kept.open };
    else answer = { refused: error.code ?? error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

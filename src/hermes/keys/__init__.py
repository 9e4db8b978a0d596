"""Where the keys of the keyring come from: the settings, or a KMS that wraps them."""

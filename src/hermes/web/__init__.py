"""Pages for people, on the gateway's own origin: signing in, agreeing to an assistant, linking an account."""

"""A real causal language model on loopback, with the API of vLLM."""

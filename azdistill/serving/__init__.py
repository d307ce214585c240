"""Serve a student as an OpenAI-compatible endpoint: by azdistill's own decoding, or by vLLM."""

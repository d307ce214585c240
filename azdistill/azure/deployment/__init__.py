"""Deploy a registered student to a managed online endpoint: files, smoke test and blue-green rollout."""

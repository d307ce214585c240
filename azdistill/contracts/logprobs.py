"""Format of the files of log probabilities, written by teacher and read by training. See docs/logprobs.md."""

# Name and version. The only metadata of a file: safetensors writes several entries in random order.
FORMAT = "azdistill-logprobs 1"
SHARDS = "logprobs-*.safetensors"
# Fills up `top_ids` at positions with fewer than K likely tokens.
NO_TOKEN = -1

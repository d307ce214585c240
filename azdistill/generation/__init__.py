"""Batched generation with latency, memory and throughput."""

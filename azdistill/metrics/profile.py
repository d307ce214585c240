"""Latency, throughput and memory, as the predict step measures them."""

from azdistill.metrics.metric import ProfileMetric

METRICS = (
    ProfileMetric(
        name="latency_p50_s",
        label="latency p50",
        unit="seconds",
        higher_is_better=False,
        compared_with="teacher",
        on_console=True,
        client_names=("latency", "inference_time"),
    ),
    ProfileMetric(
        name="latency_p95_s",
        label="latency p95",
        unit="seconds",
        higher_is_better=False,
        compared_with="teacher",
    ),
    ProfileMetric(
        name="tokens_per_s",
        label="tokens per second",
        unit="count",
        higher_is_better=True,
        compared_with="baseline",
        client_names=("throughput",),
    ),
    ProfileMetric(
        name="peak_memory_bytes",
        label="peak memory",
        unit="bytes",
        higher_is_better=False,
        compared_with="baseline",
        on_console=True,
        client_names=("memory", "memory_usage"),
    ),
    ProfileMetric(name="weight_bytes", label="weights", unit="bytes", higher_is_better=False),
    ProfileMetric(
        name="parameters",
        label="parameters",
        unit="count",
        higher_is_better=False,
        on_console=True,
        client_names=("parameters",),
    ),
    ProfileMetric(name="device", label="device", unit="text"),
)

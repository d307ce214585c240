"""Latency, throughput and memory, as the predict step measures them."""

from azdistill.metrics.metric import ProfileMetric

# Percentiles that the report shows. Gates can bound the others, too.
SHOWN = ("ttft_p50_ms", "ttft_p95_ms", "itl_p50_ms", "itl_p95_ms", "concurrent_p95_latency_ms")

MEMORY = {"peak_process_bytes": "peak memory of the process", "peak_device_bytes": "peak GPU memory"}


def percentiles(prefix: str, suffix: str) -> tuple[ProfileMetric, ...]:
    """Milliseconds of a complete answer, to its first token and between two tokens: p50, p95 and p99 of each."""
    figures = [("{}_latency_ms", "latency"), ("ttft_{}_ms", "first token"), ("itl_{}_ms", "between two tokens")]
    return tuple(
        ProfileMetric(
            name=(name := prefix + template.format(percentile)),
            label=f"{label} {percentile}{suffix}",
            unit="milliseconds",
            higher_is_better=False,
            compared_with="baseline",
            in_report=name in SHOWN,
        )
        for template, label in figures
        for percentile in ("p50", "p95", "p99")
    )


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
    *percentiles("", ""),
    ProfileMetric(name="concurrency", label="requests at the same time", unit="count"),
    *percentiles("concurrent_", " of these"),
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
    *(
        ProfileMetric(name=name, label=label, unit="bytes", higher_is_better=False, in_report=False)
        for name, label in MEMORY.items()
    ),
    ProfileMetric(name="weight_bytes", label="weights", unit="bytes", higher_is_better=False),
    ProfileMetric(name="weight_file_bytes", label="weights on disk", unit="bytes", higher_is_better=False),
    ProfileMetric(
        name="parameters",
        label="parameters",
        unit="count",
        higher_is_better=False,
        on_console=True,
        client_names=("parameters",),
    ),
    ProfileMetric(
        name="cost_per_1000", label="cost of 1,000 answers", unit="count", higher_is_better=False, in_report=False
    ),
    ProfileMetric(name="device", label="device", unit="text"),
)

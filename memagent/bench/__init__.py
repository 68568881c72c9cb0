"""Measuring the memory layer: latency, throughput, memory, and how each grows."""

"""batcher: an async, high-throughput batch processor for LLM APIs."""

__version__ = "0.1.0"

"""What batcher costs, in ratios measured side by side: `make bench`."""

"""What asv_runner takes kinds of benchmarks from: each module's `export_as_benchmark`."""

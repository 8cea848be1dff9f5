"""What asv times, and the scripts that print the figures of our own code. asv imports every file: guard what runs."""

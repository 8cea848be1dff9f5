"""A kind of asv benchmark whose function times all its combinations at once, with a timer of its own.

asv_runner imports this package for its name, and takes the kinds from the modules in `benchmarks`.
"""

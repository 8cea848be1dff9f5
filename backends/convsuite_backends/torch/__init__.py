"""PyTorch: torch.nn.functional, as its users call it; a file for each family of operations."""

from convsuite_backends.torch.backend import Torch, TorchChannelsLast, TorchCompile, TorchNoMkldnn, TorchNoTf32

__all__ = ["Torch", "TorchChannelsLast", "TorchCompile", "TorchNoMkldnn", "TorchNoTf32"]

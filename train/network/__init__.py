"""The network: gated CNN, combined attention, CTC head."""

from .model import FRAME_STRIDE, STUDENT, TEACHER, Network, NetworkRecipe, pooled

__all__ = ["FRAME_STRIDE", "STUDENT", "TEACHER", "Network", "NetworkRecipe", "pooled"]

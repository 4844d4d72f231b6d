"""The network: gated CNN, combined attention, CTC head."""

from ..data.charset import FRAME_STRIDE
from .model import STUDENT, TEACHER, Network, NetworkRecipe, pooled

__all__ = ["FRAME_STRIDE", "STUDENT", "TEACHER", "Network", "NetworkRecipe", "pooled"]

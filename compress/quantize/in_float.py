"""The one rule of what stays in float in int8 files, for every format and for torch's simulation of them."""

from __future__ import annotations

from .recipe import QuantizeRecipe

SQUEEZE_EXCITE = ".se."  # in a module's path: next to no work, and the ranges of its activations can be empty
HEAD = "head"  # its logits go from −110 to 14: rounded in steps of 0.5, a character would tie with the blank
DETECTOR_HEADS = ("marks", "heights")  # a thousandth of the work, and their answers are what is read


def stays_in_float(module: str, recipe: QuantizeRecipe, float_answers: bool = False) -> bool:
    """Whether a convolution or linear layer stays in float.

    Args:
        module: its dotted path in the network.
        recipe: what is to stay in float besides.
        float_answers: whether the format leaves what a quantised layer answers in float: its logits then keep their
            precision, and the head may be quantised. OpenVINO does, and ONNX for dense layers; TFLite does not.
    """
    return SQUEEZE_EXCITE in module or (module in (HEAD, *DETECTOR_HEADS) and not float_answers) or recipe.keeps(module)

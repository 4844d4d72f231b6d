from __future__ import annotations

import numpy as np
import openvino
import pytest
from engine_template import EngineTests, forged
from tiny_model import write_model

from htrjand.export.openvino import save
from htrjand.runtime import HtrjandError, Recognizer


class TestOpenVino(EngineTests):
    suffix = ".xml"
    library = "openvino"
    extra = "'htrjand[openvino]'"

    def write(self, path, metadata, **graph):
        before = write_model(path.with_name("before.onnx"), metadata=metadata, sealed=False, **graph)
        save(openvino.convert_model(before), metadata, path)

    def test_the_weights_beside_it_are_missing(self, make):
        path = make()
        path.with_suffix(".bin").unlink()
        with pytest.raises(HtrjandError, match=r"tiny\.bin: no such file; keep it beside tiny\.xml"):
            Recognizer(path)

    def test_a_byte_of_the_weights_is_changed_or_they_are_cut_short(self, make, capfd):
        path = make()
        beside = path.with_suffix(".bin")
        whole = beside.read_bytes()
        changed = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in (0, 99, len(whole) - 1)]
        for content in (*changed, whole[:-1], b""):
            beside.write_bytes(content)
            with pytest.raises(HtrjandError, match=rf"^{path}: cut short or changed .* copy the file again"):
                Recognizer(path)
        assert capfd.readouterr() == ("", "")

    def test_both_files_can_take_other_names_and_be_replaced_while_in_use(self, make, draw, tmp_path):
        path = make()
        for suffix in (".xml", ".bin"):
            path.with_suffix(suffix).rename(tmp_path / f"other{suffix}")
        reader = Recognizer(tmp_path / "other.xml", 1)
        (tmp_path / "other.bin").write_bytes(b"")
        assert reader.read_line(draw("ab é")).text == "ab é"

    def test_it_computes_in_float_on_every_processor(self, make):
        """Sums of bf16 have an error of 2⁻⁸: a hundred times what is allowed here."""
        image = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 256), dtype=np.uint8)
        reader = Recognizer(make(sharpness=1e-3), 1)
        assert reader.session.request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
        np.testing.assert_array_equal(reader.run(image)[1], reader.run(image[1:])[0])

    def test_an_edge_that_is_no_text_under_a_right_seal(self, make, capfd):
        """Found by `make fuzz`: OpenVINO's message quotes it, and is no text either."""
        path = forged(make(), b'to-port="0" />', b'to-port="0\xff"/>')
        with pytest.raises(HtrjandError, match=f"^{path}: not a whole OpenVINO model .*again"):
            Recognizer(path)
        assert capfd.readouterr() == ("", "")

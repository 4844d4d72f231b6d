# make demo      read the bundled sample, compress the bundled student anew, print the table (needs no other data)
# make test      lint, type-check and test, with everything installed
# make examples  build the examples of docs/examples, read the bundled sample with them, and compare them with the package
#                (needs cmake, a C++ compiler, libpng's headers, Node.js 20.9 or later and npm; for the web page a
#                Chromium, or its tests are skipped)
# make test-arm  our model files on an emulated ARM processor and with tflite-runtime (Debian 12, Python 3.11; minutes)
# make test-archive  archive runs whose driver, worker or node is killed, and two machines (minutes)
# make lint      ruff and mypy alone
# make release   put the weights of train/recipes/release.yaml into the package: cards, files, proofs, sums, test vectors
#                (needs the folder of real lines; another recipe: make release RECIPE=…)
# make results   write the tables of README and docs anew out of benchmarks/results
# make bench-train  lines a second of training on this machine, and where the time goes
# make bench-runtime  what the runtime takes of a device: disk, import time, cold start, memory (needs PyPI; minutes)
# make fuzz      broken images, model files and n-grams, 60 seconds of each kind; another time: make fuzz SECONDS=600
# make sample    draw the bundled sample again from its fonts (needs npm)
# make fonts     fetch the fonts that `htrjand data synth` draws with into build/fonts (needs npm; on Debian more, by apt-get)
#
# Needed: Python 3.11 or later with its venv module, and make. All else goes into .venv.

# The folder of real lines (lines/*.parquet): tests that need them skip without. Name another: make test HTRJAND_DATA=…
export HTRJAND_DATA ?= $(wildcard $(abspath ../shared/data))

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out/demo
# Points of CER. A release is held to 0.3 on real lines; that is four of the sample's 1,360 characters, which is chance.
BUDGET := 1
SAMPLE := benchmarks/sample
FONTS := build/fonts
EXAMPLES := build/examples
STUDENT := runtime/models/htrjand-student-int8
SECONDS ?= 60
FIT_ON := --dataset copiste --dataset cremma-mss-19 --dataset dhsd --dataset peraire --dataset poilus

# Installed in editable mode. The root being the package, setuptools writes an import hook with one entry, `htrjand` ->
# this folder: new files and folders are seen at once, `htrjand` is a command, and processes that tests start find the
# package from any folder. The C kernel is compiled into runtime/decode/ where there is a compiler. A plain install would have to be made again after every edit; the link `.paths` alone gives no
# command and needs PYTHONPATH in every process, so only mypy, which does not run import hooks, goes through it.
# A stamp a set of extras: installed again when what is to be installed changes, over what is there.
install = echo "installing into $(VENV); the first time takes minutes" && $(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[$(1)]' && touch $@

RECIPE ?= train/recipes/release.yaml

.PHONY: demo test examples test-arm test-archive lint sample fonts release results bench-train bench-runtime fuzz
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	@echo "== The bundled student reads lines of the bundled sample =="
	$(BIN)/htrjand read $(SAMPLE)/lines/*.png
	@echo "== The student's weights become ONNX files: float, proven; int8, within its budget =="
	$(BIN)/htrjand export train/weights/student.safetensors -o $(OUT)/student-fp32.onnx
	$(BIN)/htrjand quantize $(OUT)/student-fp32.onnx -o $(OUT)/student-int8.onnx -i $(SAMPLE)/sample.parquet --split test --max-cer-increase $(BUDGET)
	@echo "== What that costs and what it gains, on this machine =="
	$(BIN)/htrjand bench --quick -i $(SAMPLE)/sample.parquet -m $(OUT)/student-fp32.onnx -m $(OUT)/student-int8.onnx

# As many processes as there are cores, each of one thread; a file's tests stay together, for what they share.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Built first: what cannot be had is an error here, where the tests alone would skip.
examples: $(VENV)/test.stamp
	@missing=; for tool in c++ cmake node npm; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	  echo '#include <png.h>' | c++ -E -x c++ - >/dev/null 2>&1 || missing="$$missing png.h"; \
	  node -e 'const [a, b] = process.versions.node.split("."); process.exit(+(a * 100 + +b < 2009))' 2>/dev/null || missing="$$missing Node.js-20.9"; \
	  [ -z "$$missing" ] || { echo "the examples need what is not here:$$missing (on Debian 13: apt-get install g++ cmake libpng-dev nodejs npm)" >&2; exit 1; }
	cmake -S docs/examples/cpp -B $(EXAMPLES)/cpp -D OpenVINO_DIR="$$($(BIN)/python -c 'from openvino.utils import get_cmake_path; print(get_cmake_path())')"
	cmake --build $(EXAMPLES)/cpp
	mkdir -p $(EXAMPLES)/node && cp docs/examples/node/* $(STUDENT).onnx $(EXAMPLES)/node
	cd $(EXAMPLES)/node && npm ci --ignore-scripts --no-audit --no-fund
	$(BIN)/htrjand models $(EXAMPLES)/node/$(notdir $(STUDENT)).onnx -f json > $(EXAMPLES)/node/$(notdir $(STUDENT)).json
	$(BIN)/python docs/examples/python/read_line.py $(STUDENT).onnx $(SAMPLE)/lines/*.png
	$(EXAMPLES)/cpp/read_line $(STUDENT).xml $(SAMPLE)/lines/*.png
	node $(EXAMPLES)/node/read_line.mjs $(EXAMPLES)/node/$(notdir $(STUDENT)).onnx $(SAMPLE)/lines/*.png
	npm ci --prefix docs/examples/web --ignore-scripts --no-audit --no-fund
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_examples.py tests/test_web_example.py tests/runtime/test_vectors.py

# Prepared first, and by itself: what cannot be had is an error here, where the tests alone would skip.
test-arm: $(VENV)/test.stamp
	$(BIN)/python tests/edge/prepare.py
	$(BIN)/python -m pytest tests/edge -m edge

test-archive: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/runtime/archive -m 'cluster or not cluster'

lint: $(VENV)/test.stamp
	mkdir -p .paths && ln -sfn .. .paths/htrjand
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

release: $(VENV)/test.stamp
	$(BIN)/python -m htrjand.benchmarks.studies.release cards $(RECIPE)
	$(BIN)/htrjand lm fit train/weights/teacher.safetensors train/weights/student.safetensors $(FIT_ON)
	$(BIN)/htrjand run $(RECIPE) -o runs/release
	$(BIN)/python -m htrjand.benchmarks.studies.release files runs/release
	$(BIN)/python -m htrjand.benchmarks.studies.vectors tests/vectors

results: $(VENV)/demo.stamp
	$(BIN)/python -m htrjand.benchmarks.studies.record

bench-train: $(VENV)/demo.stamp
	$(BIN)/python -m htrjand.benchmarks.studies.speed

bench-runtime: $(VENV)/demo.stamp
	$(BIN)/python -m htrjand.benchmarks.studies.footprint

# Findings come to lie in build/fuzz. Its library is no part of `dev`: no test needs it, and it does not come for every machine.
fuzz: $(VENV)/fuzz.stamp
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

sample: $(VENV)/demo.stamp
	mkdir -p $(FONTS)
	npm install --prefix $(FONTS) --no-save --no-package-lock --no-audit --no-fund $$($(BIN)/python -m htrjand.train.data.synth.sample)
	$(BIN)/python -m htrjand.train.data.synth.sample $(FONTS) $(SAMPLE)

fonts: $(VENV)/demo.stamp
	mkdir -p $(FONTS)/debian
	npm install --prefix $(FONTS) --no-save --no-package-lock --no-audit --no-fund $$($(BIN)/python -m htrjand.train.data.synth.fonts)
	cd $(FONTS)/debian && for package in $$(cd $(CURDIR) && $(BIN)/python -m htrjand.train.data.synth.fonts debian); do \
	  { apt-get download -q $$package && dpkg-deb -x $${package}_*.deb . ; } || echo "$$package: not fetched; its hands are left out" >&2; done

# Torch, onnx and the measuring: neither the other formats nor the peers that the table of the README compares with.
$(VENV)/demo.stamp: pyproject.toml constraints.txt runtime/decode/beam.c | $(BIN)/pip
	@$(call install,export)

$(VENV)/test.stamp: pyproject.toml constraints.txt runtime/decode/beam.c | $(BIN)/pip
	@$(call install,all$(,)dev)

$(VENV)/fuzz.stamp: pyproject.toml constraints.txt runtime/decode/beam.c | $(BIN)/pip
	@$(call install,export$(,)openvino$(,)litert$(,)fuzz)

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made (on Debian: apt-get install python3-venv)" >&2; exit 1; }

, := ,

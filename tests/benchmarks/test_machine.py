"""What is said of machines: a Raspberry Pi and others, as folders that look like their /proc and /sys."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from htrjand.benchmarks.energy import Rapl, Sensors, find_meter, joules
from htrjand.benchmarks.install import installed_bytes, required
from htrjand.benchmarks.machine import cpu_information, describe, is_emulated, sensors
from htrjand.benchmarks.watch import Watch, own_seconds

ARM = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd asimddp\n\nprocessor\t: 1\nModel\t\t: Raspberry Pi 5\n"
STAT = "cpu  {} 0 0 1000 0 0 0 {} 0 0\n"


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    root = tmp_path
    put(root, "proc/cpuinfo", ARM)
    put(root, "proc/stat", STAT.format(10, 0))
    put(root, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    put(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    for core, kilohertz in enumerate((2_400_000, 1_500_000)):
        put(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", f"{kilohertz}\n")
    put(root, "sys/class/thermal/thermal_zone0/temp", "61350\n")
    put(root, "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")
    return root


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_raspberry_pi_is_described(pi: Path) -> None:
    about = describe(pi)
    assert about["device"] == "Raspberry Pi 5 Model B Rev 1.0" and about["governor"] == "ondemand"
    assert about["flags"] == ["asimd", "asimddp"] and about["emulated"] is False
    assert sensors(pi) == {"temperature_c": 61.4, "frequency_mhz": 1950, "limits": []}


def test_a_device_that_tells_nothing(tmp_path: Path) -> None:
    """Without /proc and /sys: what is not known is null, and the load is judged by its average."""
    about = describe(tmp_path)
    assert about["device"] is about["governor"] is None and about["flags"] == [] and about["cpu"]
    assert sensors(tmp_path) == {"temperature_c": None, "frequency_mhz": None, "limits": None}
    watch = Watch(tmp_path)
    watch.probe()
    watch.load_average = [1.5, 0.0, 0.0]
    conditions, disturbances = watch.finish()
    assert conditions["foreign_cores"] is None and conditions["steal"] == 0
    (load,) = disturbances
    assert (load["what"], load["measured"], load["allowed"]) == ("load", 1.5, 0.2)
    assert find_meter(tmp_path) == (None, "this machine tells none (no RAPL, no INA sensor)")


def test_a_quiet_machine_is_valid(pi: Path) -> None:
    watch = Watch(pi)
    watch.paces = [1.0, 1.2]
    conditions, disturbances = watch.finish()
    assert disturbances == [] and conditions["pace_drift"] == pytest.approx(0.2)
    assert conditions["before"] == conditions["after"] == sensors(pi)


def test_every_disturbance_says_by_how_much(pi: Path) -> None:
    watch = Watch(pi)
    put(pi, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")  # under-voltage, throttled
    watch.probe()
    put(pi, "sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")  # for a moment only
    watch.paces = [1.0, 2.0]
    watch.start -= 10
    watch.date -= 3610
    ticks = os.sysconf("SC_CLK_TCK")
    own = own_seconds() - watch.own
    put(pi, "proc/stat", STAT.format(10 + round((20 + own) * ticks), 3 * (os.cpu_count() or 1) * ticks))
    conditions, disturbances = watch.finish()
    found = {str(one["what"]): one for one in disturbances}
    assert set(found) == {"load", "steal", "pace", "limits"}
    elapsed = float(str(conditions["seconds"]))  # ten, and what a busy machine adds
    assert found["load"]["measured"] == pytest.approx(20 / elapsed, rel=0.05)
    assert found["steal"]["measured"] == pytest.approx(3 / elapsed, rel=0.05) and found["pace"]["measured"] == 1.0
    assert "held back: throttled, under-voltage" in str(found["limits"]["text"])
    assert conditions["clock_step_s"] == pytest.approx(3600, abs=1)  # of the date; what passed is told by another clock
    assert elapsed >= 10


def test_an_emulator_is_told_by_the_processor_below_it(pi: Path, tmp_path: Path) -> None:
    assert not is_emulated("aarch64", cpu_information(pi))
    put(tmp_path, "proc/cpuinfo", "model name\t: AMD EPYC\nflags\t\t: avx avx2\n")
    assert is_emulated("aarch64", cpu_information(tmp_path)) and not is_emulated("x86_64", cpu_information(tmp_path))


def test_energy_of_a_processor(tmp_path: Path) -> None:
    sockets = [tmp_path / "sys/class/powercap" / f"intel-rapl:{number}" for number in range(2)]
    for socket in sockets:
        put(socket, "energy_uj", "4000000\n")
        put(socket, "max_energy_range_uj", "9000000\n")
    put(tmp_path, "sys/class/powercap/intel-rapl:0:0/energy_uj", "1\n")  # cores, which the socket counts already
    meter, reason = find_meter(tmp_path)
    assert isinstance(meter, Rapl) and reason == ""
    with joules(meter) as spent:
        put(sockets[0], "energy_uj", "6500000\n")
        put(sockets[1], "energy_uj", "1000000\n")  # it began again
    assert spent == [2.5 + 6.0]


def test_counters_that_may_not_be_read(tmp_path: Path) -> None:
    counter = put(tmp_path, "sys/class/powercap/intel-rapl:0/energy_uj", "1\n")
    counter.chmod(0)
    if os.access(counter, os.R_OK):  # root may read everything: a folder is as good
        counter.unlink()
        counter.mkdir()
    meter, reason = find_meter(tmp_path)
    assert meter is None and ("chmod a+r" in reason or "cannot be read" in reason)
    with joules(meter) as spent:
        pass
    assert spent == []


def test_energy_of_a_board(tmp_path: Path) -> None:
    chip = tmp_path / "sys/class/hwmon/hwmon1"
    put(chip, "name", "ina3221\n")
    for channel, label, volts, amperes in ((1, "VDD_IN", 5000, 1200), (2, "VDD_CPU", 5000, 400)):
        put(chip, f"in{channel}_label", label)
        put(chip, f"in{channel}_input", str(volts))
        put(chip, f"curr{channel}_input", str(amperes))
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/power1_input", "9")
    meter, _ = find_meter(tmp_path)
    assert isinstance(meter, Sensors) and meter.source == "power sensors: VDD_IN" and meter.watts() == 6.0
    start = time.perf_counter()
    with joules(meter) as spent:
        time.sleep(0.12)
    assert 6 * 0.12 <= spent[0] <= 6 * (time.perf_counter() - start)


@pytest.mark.parametrize("meter", ["rapl", "sensors"])
def test_counters_that_fail_during_a_run_stop_nothing(meter: str, tmp_path: Path) -> None:
    """A sensor that answers no more: what is measured goes on without energy, and the meter tells why."""
    counter = put(tmp_path, "energy_uj" if meter == "rapl" else "power1_input", "4000000\n")
    found = Rapl([tmp_path]) if meter == "rapl" else Sensors([[counter]])
    with joules(found) as spent:
        counter.write_text("no data\n")
        time.sleep(0.1)  # two looks at a sensor
    assert spent == [] and "failed during the run" in found.failure
    counter.write_text("4000000\n")
    with joules(found) as spent:
        pass
    assert spent == []


def test_what_has_to_be_installed() -> None:
    small, large = installed_bytes("onnxruntime"), installed_bytes("torch")
    assert small and large and 20e6 < small < large
    assert {"numpy", "pillow", "onnxruntime", "protobuf"} <= set(required(["pillow", "onnxruntime"]))
    assert "pytest" not in required(["numpy"]) and required(["no-such-distribution"]) == {}
    assert installed_bytes("no such engine") is None

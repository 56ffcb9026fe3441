"""Is there a CUDA that Jittor can use? Decided on made-up toolkits and a made-up driver."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Optional

import pytest

from jstyle.runtime import cuda
from jstyle.runtime.cuda import Driver, Toolkit

GPU = Driver((12, 4), devices=1)


@pytest.fixture(autouse=True)
def no_system_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed on the machine that runs the tests must not complete a made-up toolkit."""
    monkeypatch.setattr(cuda.platform, "machine", lambda: "aarch64")


def toolkit(root: Path, release: str = "12.2", suffix: str = ".so") -> Path:
    """A whole toolkit, all of it empty files but for an nvcc that says its version."""
    for folder in ("bin", "include", "lib64"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    nvcc = root / "bin" / "nvcc"
    nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.1'\n")
    nvcc.chmod(0o755)
    (root / "lib64" / "libcudart.so").touch()
    for name in cuda.LIBRARIES:
        (root / "include" / f"{name}.h").touch()
        (root / "lib64" / f"lib{name}.so").touch()
    for name in cuda.CUDNN8_PARTS:
        (root / "lib64" / f"lib{name}{suffix}").touch()
    return nvcc


def test_a_whole_toolkit_is_seen_as_whole(tmp_path: Path) -> None:
    assert cuda.inspect(toolkit(tmp_path)) == Toolkit(tmp_path / "bin/nvcc", (12, 2), ())


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("lib64/libcudart.so", "libcudart.so"),
        ("lib64/libcublas.so", "libcublas.so"),
        ("include/cudnn.h", "cudnn.h"),
        ("lib64/libcudnn_ops_infer.so", "cuDNN 8"),
    ],
)
def test_every_missing_part_is_named(tmp_path: Path, part: str, missing: str) -> None:
    nvcc = toolkit(tmp_path)
    (tmp_path / part).unlink()
    (found,) = cuda.inspect(nvcc).missing
    assert found.endswith(missing)


def test_versioned_cudnn_serves_cuda_11_alone(tmp_path: Path) -> None:
    assert cuda.inspect(toolkit(tmp_path / "11", "11.8", suffix=".so.8")).whole
    assert cuda.inspect(toolkit(tmp_path / "12", "12.2", suffix=".so.8")).missing == ("cuDNN 8",)


def test_cuda_13_and_a_broken_nvcc_are_no_toolkit(tmp_path: Path) -> None:
    assert "version 12 or older" in cuda.inspect(toolkit(tmp_path, "13.0")).missing[0]
    (tmp_path / "bin" / "nvcc").write_text("#!/bin/sh\nexec /nowhere/nvcc\n")
    assert cuda.inspect(tmp_path / "bin" / "nvcc").missing == ("an nvcc that runs",)


def test_toolkits_are_found_in_jittors_order(tmp_path: Path) -> None:
    installed = toolkit(cuda.jtcuda(tmp_path) / "cuda12.2_cudnn8_linux")
    on_path, system = toolkit(tmp_path / "path"), toolkit(tmp_path / "system")
    (tmp_path / "empty").mkdir()
    found = cuda.find_toolkits(tmp_path, str(on_path.parent), [str(tmp_path / "system"), str(tmp_path / "empty")])
    assert [kit.nvcc for kit in found] == [installed, on_path, system]


@pytest.mark.parametrize("driver", [None, Driver((12, 4), devices=0)])
def test_without_a_gpu_the_cpu_serves_without_a_word(driver: Optional[Driver], tmp_path: Path) -> None:
    whole = cuda.inspect(toolkit(tmp_path))
    assert cuda.choose(driver, [whole], tmp_path) == cuda.Choice({"nvcc_path": ""}, "")


def test_a_gpu_without_a_toolkit_is_told(tmp_path: Path) -> None:
    choice = cuda.choose(GPU, [], tmp_path)
    assert choice.environ == {"nvcc_path": ""} and "no CUDA toolkit" in choice.warning
    half = Toolkit(Path("/usr/bin/nvcc"), (12, 2), ("cuDNN 8",))
    choice = cuda.choose(GPU, [half], tmp_path)
    assert choice.environ == {"nvcc_path": ""} and "/usr/bin/nvcc lacks cuDNN 8" in choice.warning


def test_the_first_whole_toolkit_is_used(tmp_path: Path) -> None:
    half = Toolkit(Path("/usr/local/bin/nvcc"), (12, 2), ("cudnn.h",))
    whole = cuda.inspect(toolkit(tmp_path))
    assert cuda.choose(GPU, [half, whole], tmp_path) == cuda.Choice({"nvcc_path": str(whole.nvcc)})


def test_jittors_own_toolkit_is_pinned_so_that_no_other_is_downloaded(tmp_path: Path) -> None:
    own = cuda.jtcuda(tmp_path) / "cuda11.2_cudnn8_linux"
    nvcc = toolkit(own, "11.2")
    elsewhere = cuda.inspect(toolkit(tmp_path / "elsewhere"))
    choice = cuda.choose(GPU, [elsewhere, cuda.inspect(nvcc)], tmp_path)
    assert choice.environ == {"nvcc_path": str(nvcc), "JTCUDA_VERSION": "11.2"}

    nvcc.unlink()
    choice = cuda.choose(GPU, [elsewhere], tmp_path)
    assert choice.environ == {"nvcc_path": ""} and "remove that folder" in choice.warning


@pytest.mark.parametrize(("status", "devices"), [(0, 2), (100, 0)])
def test_the_driver_is_asked(tmp_path: Path, status: int, devices: int) -> None:
    source = tmp_path / "driver.cc"
    source.write_text(f"""
        extern "C" int cuInit(unsigned) {{ return {status}; }}
        extern "C" int cuDriverGetVersion(int* version) {{ *version = 12040; return 0; }}
        extern "C" int cuDeviceGetCount(int* count) {{ *count = 2; return 0; }}
    """)
    subprocess.run(["g++", "-shared", "-fPIC", source, "-o", tmp_path / "libcuda.so.1"], check=True)
    driver = cuda.find_driver(str(tmp_path / "libcuda.so.1"))
    assert driver is not None and driver.devices == devices
    assert cuda.find_driver(str(tmp_path / "libnothing.so")) is None

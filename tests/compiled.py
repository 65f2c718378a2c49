"""Compile Triton kernels for a GPU that is not there: launches become compilations, checked by NVIDIA's assembler."""

import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction


class AbsentDevice:
    """A driver of a device that only has an architecture."""

    def __init__(self, capability):
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self):
        return self.target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device=None):
        return 0


@contextmanager
def compiled_only(capability=90):
    """Inside, launching a kernel compiles it, and nothing runs; gives the list of (name, resources) compiled.

    Among the resources is "placed": whether the launch is on the device of a tensor, not on the current one.
    """
    seen, run, device_of, depth = [], JITFunction.run, torch.cuda.device_of, [0]

    @contextmanager
    def counted(tensor):
        depth[0] += 1
        yield
        depth[0] -= 1

    def compile_instead(self, *args, grid, warmup, **kwargs):
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        seen.append((self.fn.__name__, {**resources(kernel), "placed": depth[0] > 0}))
        return kernel

    driver.set_active(AbsentDevice(capability))
    JITFunction.run, torch.cuda.device_of = compile_instead, counted
    try:
        yield seen
    finally:
        JITFunction.run, torch.cuda.device_of = run, device_of
        driver._active = None


def resources(kernel):
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        text = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True).stdout
    found = {k.lower(): int(v) for k, v in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
    return {**found, "shared": kernel.metadata.shared, "warps": kernel.metadata.num_warps}

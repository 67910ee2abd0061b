from __future__ import annotations

import subprocess
import sys

IN_A_FRESH_PROCESS = """
from ffdv.torchvision_import import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
import sys, torch
import torchvision.transforms.v2 as v2
assert sys.modules["torchvision"] is torchvision
picture = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
assert torch.equal(v2.RandomHorizontalFlip(p=1.0)(picture), picture.flip(-1))
print(torchvision.models.resnet18.__name__)
"""

WITH_AN_UNRELATED_FAULT = """
import sys, types
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise RuntimeError("the disk is on fire")
sys.meta_path.insert(0, Broken())
from ffdv.torchvision_import import import_torchvision
try:
    import_torchvision()
except RuntimeError as error:
    print(error)
"""


def _printed_by(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_imports_and_transforms_in_a_process_that_has_not_seen_it() -> None:
    assert _printed_by(IN_A_FRESH_PROCESS) == "resnet18"


def test_other_faults_of_torchvision_are_not_hidden() -> None:
    assert _printed_by(WITH_AN_UNRELATED_FAULT) == "the disk is on fire"

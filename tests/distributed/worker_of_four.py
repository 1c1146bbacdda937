"""Models under the strategies whose meshes have two axes, on four ranks: writes FOLDER/<rank>.json.

torchrun --nproc-per-node=4 worker_of_four.py FOLDER SEED
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torchkeras as keras
from tests.distributed import strategy_cases

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
keras.distribution.initialize()
found = {name: strategy_cases.run(seed, name, strategy_cases.ON_FOUR_RANKS) for name in ("model", "hybrid")}
(folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found))

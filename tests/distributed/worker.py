"""Everything that is to be seen under torchrun, in one launch: writes FOLDER/<rank>.json.

torchrun --nproc-per-node=2 worker.py FOLDER SEED
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.distributed import equal_cases, rules, sharded

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
found = {"equal": equal_cases.run(seed), "sharded": sharded.run(folder, seed), "rules": rules.run(folder)}
(folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found))

"""Everything that is to be seen under torchrun, in one launch: writes FOLDER/<rank>.json.

torchrun --nproc-per-node=2 worker.py FOLDER SEED
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.distributed import equal_cases, jit_cases, placement_rules, rules, sharded, strategy_cases

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
found = {"equal": equal_cases.run(seed), "sharded": sharded.run(folder, seed), "rules": rules.run(folder)}
for strategy in ("data", "model", "sharded"):
    found[f"strategies: {strategy}"] = strategy_cases.run(seed, strategy)
for strategy in ("model", "sharded"):
    strategy_cases.set_strategy(strategy)
    found[f"equal: {strategy}"] = equal_cases.run(seed, equal_cases.UNDER_DISTRIBUTIONS)
strategy_cases.set_strategy("none")
found["compiled"] = {strategy: jit_cases.run(seed, strategy) for strategy in jit_cases.UNDER}
found["placement"] = placement_rules.run()
(folder / f"{os.environ['RANK']}.json").write_text(json.dumps(found))

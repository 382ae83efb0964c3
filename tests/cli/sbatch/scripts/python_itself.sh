#!/usr/bin/env python3
#SBATCH --gres=gpu:1
#SBATCH --time=5
"""A batch script may be in any language."""

import os
import sys

print("job", os.environ["SLURM_JOB_ID"], "with", sys.argv[1:])

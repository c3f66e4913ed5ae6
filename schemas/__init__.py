"""What data looks like: the catalogue, the layouts, the columns between stages and of the outputs."""

import os

# Polars reads this once, when it is first imported. Memory that is freed is mostly wanted again at once: to hand its
# pages back to the system and have them cleared again took a tenth of the CPU time of a large ingestion, and one
# place to allocate from for each core, instead of four, needs a sixth less memory.
os.environ.setdefault(
    "_RJEM_MALLOC_CONF",
    f"background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:10000,narenas:{os.cpu_count() or 1}",
)

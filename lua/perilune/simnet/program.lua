--- What `perilune simnet` runs.
require("perilune.simnet").serve { ... }

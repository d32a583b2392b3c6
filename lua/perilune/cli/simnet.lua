--- What `perilune simnet` runs.
return require("perilune.simnet").serve { ... }

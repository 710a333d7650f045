// Tile instructions on a processor that has none: their machine code raises SIGILL, and what they would have
// done is done by TileModel. So the very bytes that a processor with AMX gets to see can be run anywhere.
#pragma once

namespace diabolo::testing {

/// From now on, in every thread. Other unknown instructions end the process.
void trap_tile_instructions();

/// How many were trapped: none on a processor that knows them.
[[nodiscard]] long trapped_tile_instructions();

}  // namespace diabolo::testing

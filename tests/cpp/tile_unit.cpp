// The model of the tile unit, instruction by instruction.
//   tile_unit multiply   reads tiles of sums, left and right factors (16 x 16 x 32 bits each) from standard
//   input
//                        as long as there are any, and writes the sums with their products
//   tile_unit WHAT       does something that a processor would refuse
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "kernels/tile_model.h"

namespace {

using diabolo::kernels::TileModel;
using diabolo::kernels::TileShapes;

TileShapes whole_tiles() {
  TileShapes shapes;
  shapes.palette = 1;
  for (int t = 0; t < diabolo::kernels::kTiles; ++t) {
    shapes.rows[t] = 16;
    shapes.row_bytes[t] = 64;
  }
  return shapes;
}

TileShapes changed(const std::function<void(TileShapes&)>& change) {
  TileShapes shapes = whole_tiles();
  change(shapes);
  return shapes;
}

void configure(const std::function<void(TileShapes&)>& change) { TileModel().configure(changed(change)); }

/// A product of tiles 0, 1 and 2 of these shapes.
void multiply(const std::function<void(TileShapes&)>& change) {
  TileModel unit;
  unit.configure(changed(change));
  unit.add_products(0, 1, 2);
}

const std::map<std::string, std::function<void()>> kFaults = {
    {"palette", [] { configure([](TileShapes& s) { s.palette = 2; }); }},
    {"reserved", [] { configure([](TileShapes& s) { s.reserved[3] = 1; }); }},
    {"ninth", [] { configure([](TileShapes& s) { s.rows[8] = 1; }); }},
    {"rows", [] { configure([](TileShapes& s) { s.rows[7] = 17; }); }},
    {"bytes", [] { configure([](TileShapes& s) { s.row_bytes[0] = 65; }); }},
    {"half", [] { configure([](TileShapes& s) { s.rows[2] = 0; }); }},
    {"unconfigured", [] { TileModel().zero(0); }},
    {"released",
     [] {
       TileModel unit;
       unit.configure(whole_tiles());
       unit.release();
       unit.zero(0);
     }},
    {"absent",
     [] {
       TileModel unit;
       unit.configure(changed([](TileShapes& s) { s.rows[4] = 0, s.row_bytes[4] = 0; }));
       unit.zero(4);
     }},
    {"twice",
     [] {
       TileModel unit;
       unit.configure(whole_tiles());
       unit.add_products(0, 1, 1);
     }},
    {"heights", [] { multiply([](TileShapes& s) { s.rows[1] = 15; }); }},
    {"depths", [] { multiply([](TileShapes& s) { s.rows[2] = 15; }); }},
    {"widths", [] { multiply([](TileShapes& s) { s.row_bytes[2] = 60; }); }},
    {"lanes", [] { multiply([](TileShapes& s) { s.row_bytes[1] = 62; }); }},
};

int multiply_all() {
  constexpr std::size_t size = 16 * 16;
  std::uint32_t tiles[3][size];
  TileModel unit;
  unit.configure(whole_tiles());
  while (std::fread(tiles, sizeof tiles, 1, stdin) == 1) {
    for (int t = 0; t < 3; ++t) unit.load(t, tiles[t], 64);
    unit.add_products(0, 1, 2);
    unit.store(0, tiles[0], 64);
    if (std::fwrite(tiles[0], sizeof tiles[0], 1, stdout) != 1) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (std::strcmp(argv[1], "multiply") == 0) return multiply_all();
  const auto fault = kFaults.find(argv[1]);
  if (fault == kFaults.end()) return 2;
  fault->second();
  return 0;
}

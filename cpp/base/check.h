// require(): the one way an entry point refuses bad arguments. Not for inner loops: those assert.
#pragma once

#include <stdexcept>
#include <string>

namespace diabolo {

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

inline void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace diabolo

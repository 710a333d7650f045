// Values with names: a table, searched both ways.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace diabolo {

template <class T>
struct Named {
  const char* name;
  T value;
};

template <class T, std::size_t n>
T value_of(const Named<T> (&names)[n], const std::string& name) {
  for (const auto& entry : names) {
    if (name == entry.name) return entry.value;
  }
  throw std::invalid_argument("unknown name '" + name + "'.");
}

template <class T, std::size_t n>
const char* name_of(const Named<T> (&names)[n], T value) {
  for (const auto& entry : names) {
    if (value == entry.value) return entry.name;
  }
  return "?";
}

}  // namespace diabolo

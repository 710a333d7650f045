// The libFuzzer entry for the model file reader; it leaves out the writer and the file system.
#include <cstddef>
#include <cstdint>
#include <span>

#include "model/model_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)diabolo::parse_model_file(std::as_bytes(std::span(data, size)));
  } catch (const diabolo::ModelFileError&) {  // any other exception is a finding
  }
  return 0;
}

// A fuzz target of libFuzzer: whatever the bytes of a file, Model::load makes a model of it or throws
// ModelFileError, and the model that it makes can compute. Build and run: see CMakeLists.txt beside it.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32.h"
#include "data/rows.h"
#include "model/inference.h"
#include "model/model.h"
#include "model/model_file.h"

namespace {

using diabolo::Index;

constexpr std::string_view kKey = "\"checksum\":\"";
constexpr std::size_t kDigits = 8;
// What a file may describe without weights that prove it, such as noise on 2^40 features, is not computed.
constexpr Index kMostFeatures = 4096;

/// Makes the file's checksum the right one, so that mutations reach what lies behind it.
void seal(std::string& file) {
  const std::size_t key = file.find(kKey);
  if (key == std::string::npos || file.size() - key < kKey.size() + kDigits) return;
  const std::size_t at = key + kKey.size();
  file.replace(at, kDigits, kDigits, '0');
  const std::uint32_t checksum = diabolo::crc32(std::as_bytes(std::span(file)));
  constexpr std::string_view hex = "0123456789abcdef";
  for (std::size_t i = 0; i < kDigits; ++i) file[at + i] = hex[(checksum >> (28 - 4 * i)) & 15];
}

/// A file in memory, under a name that Model::load can open.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& contents) : descriptor_(memfd_create("model", 0)) {
    if (descriptor_ < 0 ||
        write(descriptor_, contents.data(), contents.size()) != static_cast<ssize_t>(contents.size())) {
      std::abort();
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void compute(const diabolo::Model& model) {
  constexpr Index count = 2;
  const Index features = model.network().inputs(model.network().all());
  if (features > kMostFeatures) return;
  const std::vector<float> table(static_cast<std::size_t>(count * features), 0.5f);
  const auto rows = diabolo::Rows::from_array(table.data(), diabolo::ElementType::float32, count, features,
                                              features * static_cast<Index>(sizeof(float)), sizeof(float));
  std::vector<float> restored(table.size());
  const diabolo::Inference inference(model, 1);
  if (inference.reconstruct(rows, {restored.data(), count, features, features}) !=
      diabolo::PassOutcome::completed) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string contents(reinterpret_cast<const char*>(data), size);
  seal(contents);
  const MemoryFile file(contents);
  try {
    compute(diabolo::Model::load(file.path()));
  } catch (const diabolo::ModelFileError&) {  // any other exception is a finding
  }
  return 0;
}

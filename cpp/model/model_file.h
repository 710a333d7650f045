// Model files: safetensors, read strictly, replaced atomically; what the tensors mean is left to the callers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace diabolo {

/// The file can be read but is not a model this version can load: another format, truncated, damaged, newer.
/// (What the operating system refuses is a std::filesystem::filesystem_error, which is a std::system_error.)
class ModelFileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class DType { F32, F64 };

[[nodiscard]] std::size_t byte_size(DType dtype);

struct FileTensor {
  std::string name;  // UTF-8
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  std::vector<std::byte> bytes;     // row-major, little-endian
};

struct ModelFile {
  // UTF-8. Without the entries that belong to the format: "format", "format_version" and "checksum".
  std::map<std::string, std::string> metadata;
  std::vector<FileTensor> tensors;  // a file has them sorted by name; the writer takes them in any order
};

/// Accepts a whole, undamaged diabolo file or throws. Whatever the file says, memory is bounded by its size:
/// the data once, the header (at most 100 MB) a few times.
/// Throws ModelFileError or, from read_model_file, filesystem_error. Only regular files are read.
[[nodiscard]] ModelFile read_model_file(const std::filesystem::path& path);
[[nodiscard]] ModelFile parse_model_file(std::span<const std::byte> file);

/// Replaces the file in one step, as replace_file does. Throws filesystem_error, or std::invalid_argument
/// when the reader would not accept the model.
void write_model_file(const std::filesystem::path& path, const ModelFile& model);

}  // namespace diabolo

// Reads and writes safetensors with a format version and a checksum; other dtypes, lazy loading are left out.
//
// The file: 8 bytes of header length (little-endian), the header (JSON, padded with spaces), the data at a
// multiple of 8 bytes. The tensors follow each other without gaps, sorted by name.
//   {"__metadata__": {"checksum": "1a2b3c4d", "format": "diabolo", "format_version": "1", ...},
//    "name": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}, ...}
// The checksum is the CRC-32 of the whole file with its own eight digits set to 0.
#include "model/model_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>
#include <variant>

#include "base/crc32.h"
#include "base/files.h"
#include "base/json.h"

namespace diabolo {
namespace {

using std::to_string;

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kDataAlignment = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the safetensors library
// Far beyond any model; it bounds the memory that a hostile header can make the JSON reader take.
constexpr JsonLimits kHeaderLimits = {.depth = 8, .values = 100'000};
constexpr std::string_view kBlankChecksum = "00000000";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::array<std::string_view, 3> kOwnMetadata = {"checksum", "format", "format_version"};
constexpr std::array<std::pair<std::string_view, DType>, 2> kDTypes = {
    {{"F32", DType::F32}, {"F64", DType::F64}}};

// ---- Messages ----

constexpr std::size_t kMaxPathShown = 4096;

// Quoted and cut: a hostile file must not fill the terminal.
std::string shown(std::string_view text, std::size_t limit = 80) {
  std::string_view cut = text.substr(0, limit);
  cut = cut.substr(0, utf8_prefix(cut));
  return json_quote(cut) + (cut.size() < text.size() ? "..." : "");
}

// ---- The header ----

std::string checksum_digits(std::uint32_t checksum) {
  std::string digits;
  for (int shift = 28; shift >= 0; shift -= 4) digits += kHexDigits[(checksum >> shift) & 15];
  return digits;
}

struct TensorEntry {
  FileTensor tensor;     // still without its bytes
  std::size_t size = 0;  // how many those are
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> entries;  // in the order of the data
  std::size_t checksum_at = 0;       // where the eight digits stand in the header
  std::string checksum;
};

std::int64_t whole_number(const JsonValue& value, const std::string& what) {
  const JsonNumber* const number = value.number();
  if (number == nullptr || !number->integer || *number->integer < 0) {
    throw ModelFileError(what + " must be a whole number from 0 to 2^63 - 1 (byte " +
                         to_string(value.offset) + " of the header)");
  }
  return *number->integer;
}

const JsonValue& member(const JsonValue& object, std::string_view key, const std::string& what) {
  const JsonValue* const found = object.find(key);
  if (found == nullptr) throw ModelFileError(what + " has no " + shown(key));
  return *found;
}

void check_version(const std::string& text) {
  const char* const end = text.data() + text.size();
  std::uint64_t version = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, version);
  if (stop != end || error == std::errc::invalid_argument || text.front() == '0') {
    throw ModelFileError("the file's format version must be a whole number >= 1, found " + shown(text));
  }
  if (error == std::errc::result_out_of_range || version > kVersion) {
    throw ModelFileError("the file has format version " + text.substr(0, 20) + "; this diabolo reads up to " +
                         to_string(kVersion) + ": upgrade diabolo");
  }
}

void read_checksum(const JsonValue& value, std::string_view header_text, Header& header) {
  const std::string& digits = *value.string();
  header.checksum = digits;
  header.checksum_at = value.offset + 1;  // after the opening quote
  // Digits written as escapes could not be blanked in place, so they must stand as they are.
  const bool literal = header_text.substr(header.checksum_at, digits.size()) == digits;
  const bool hex = digits.find_first_not_of(kHexDigits) == std::string::npos;
  if (digits.size() != kBlankChecksum.size() || !hex || !literal) {
    throw ModelFileError("the file's checksum must be 8 hex digits in lower case, found " + shown(digits));
  }
}

// Takes the strings out of the root: they may be as long as the file, and must not be there twice.
void read_metadata(JsonValue& root, std::string_view header_text, Header& header) {
  const JsonValue* const metadata = root.find("__metadata__");
  const JsonValue* const format = metadata == nullptr ? nullptr : metadata->find("format");
  if (format == nullptr || format->string() == nullptr || *format->string() != "diabolo") {
    const bool named = format != nullptr && format->string() != nullptr;
    throw ModelFileError("not a diabolo model: expected the metadata \"format\": \"diabolo\", found " +
                         (named ? shown(*format->string()) : std::string("none")));
  }
  for (const auto& [key, value] : *metadata->object()) {
    if (value.string() == nullptr) throw ModelFileError("the metadata " + shown(key) + " must be a string");
  }
  // A newer version may change any rule that follows, so it is checked first.
  check_version(*member(*metadata, "format_version", "the file's metadata").string());
  read_checksum(member(*metadata, "checksum", "the file's metadata"), header_text, header);
  for (auto& [name, member] : std::get<JsonValue::Object>(root.value)) {
    if (name != "__metadata__") continue;
    for (auto& [key, value] : std::get<JsonValue::Object>(member.value)) {
      header.metadata.emplace(std::move(key), std::move(std::get<std::string>(value.value)));
    }
  }
  for (const std::string_view key : kOwnMetadata) header.metadata.erase(std::string(key));
}

DType read_dtype(const JsonValue& value, const std::string& what) {
  const std::string* const text = value.string();
  if (text == nullptr) throw ModelFileError("the dtype of " + what + " must be a string");
  for (const auto& [name, dtype] : kDTypes) {
    if (*text == name) return dtype;
  }
  throw ModelFileError("the dtype of " + what + " must be F32 or F64, found " + shown(*text));
}

// The dimensions that are 0 take no part in the overflow check: {0, 2^62, 2^62} is as absurd as {2^62, 2^62}.
std::int64_t read_shape(const JsonValue& value, const std::string& what, FileTensor& tensor) {
  if (value.array() == nullptr) throw ModelFileError("the shape of " + what + " must be an array");
  auto bytes = static_cast<std::int64_t>(byte_size(tensor.dtype));
  bool empty = false;
  for (const JsonValue& element : *value.array()) {
    const std::int64_t size = whole_number(element, "every dimension of " + what);
    tensor.shape.push_back(size);
    if (size == 0) {
      empty = true;
    } else if (bytes > std::numeric_limits<std::int64_t>::max() / size) {
      throw ModelFileError("the shape of " + what + " is too large: it overflows 2^63 - 1 bytes");
    } else {
      bytes *= size;
    }
  }
  return empty ? 0 : bytes;
}

// Reads the description of one tensor, which must begin at byte `begin` of the data. Returns where it ends.
std::int64_t read_tensor(std::string&& name, const JsonValue& value, std::int64_t begin,
                         std::uint64_t data_size, Header& header) {
  const std::string what = "tensor " + shown(name);
  if (value.object() == nullptr || value.object()->size() != 3) {
    throw ModelFileError(what + " must be described by \"dtype\", \"shape\" and \"data_offsets\" alone");
  }
  FileTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = read_dtype(member(value, "dtype", what), what);
  const std::int64_t expected_bytes = read_shape(member(value, "shape", what), what, tensor);

  const JsonValue::Array* const offsets = member(value, "data_offsets", what).array();
  if (offsets == nullptr || offsets->size() != 2) {
    throw ModelFileError("the data_offsets of " + what + " must be two numbers");
  }
  const std::int64_t found_begin = whole_number((*offsets)[0], "the first of data_offsets of " + what);
  const std::int64_t end = whole_number((*offsets)[1], "the second of data_offsets of " + what);
  if (found_begin != begin) {
    throw ModelFileError(what + " must begin at byte " + to_string(begin) +
                         " of the data, where the one before ends; found " + to_string(found_begin));
  }
  if (end < begin || end - begin != expected_bytes) {
    throw ModelFileError(what + " needs " + to_string(expected_bytes) +
                         " bytes by its shape and dtype; its data_offsets are " + to_string(begin) + " and " +
                         to_string(end));
  }
  if (static_cast<std::uint64_t>(end) > data_size) {
    throw ModelFileError("the file is truncated: " + what + " ends at byte " + to_string(end) +
                         " of the data, but the file has only " + to_string(data_size) + " bytes of data");
  }
  header.entries.push_back({std::move(tensor), static_cast<std::size_t>(end - begin)});
  return end;
}

// Everything that can be checked without the data is checked here.
Header parse_header(std::string_view text, std::uint64_t data_size) {
  // The format allows only spaces as padding; JSON itself would allow line breaks, too.
  const std::string_view json = text.substr(0, text.find_last_not_of(' ') + 1);
  if (json.empty() || json.front() != '{' || json.back() != '}') {
    throw ModelFileError("not a model file: its header is not a JSON object padded with spaces");
  }
  JsonValue root;
  try {
    root = parse_json(json, kHeaderLimits);
  } catch (const JsonError& error) {
    throw ModelFileError(std::string("not a model file, or damaged: its header is ") + error.what());
  }
  Header header;
  read_metadata(root, json, header);
  std::int64_t end = 0;
  for (auto& [name, value] : std::get<JsonValue::Object>(root.value)) {
    if (name != "__metadata__") end = read_tensor(std::move(name), value, end, data_size, header);
  }
  if (static_cast<std::uint64_t>(end) != data_size) {
    throw ModelFileError("the file has " + to_string(data_size) +
                         " bytes of data, but its tensors end at byte " + to_string(end));
  }
  return header;
}

// ---- Reading ----

using ReadNext = std::function<void(std::span<std::byte>)>;  // fills the span with the next bytes of the file

// The tensors lie in the file in the order of the header, so one pass reads each into its final place.
ModelFile read_in_order(std::uint64_t file_size, const ReadNext& read_next) {
  if (file_size < kLengthBytes) {
    throw ModelFileError("not a model file: expected at least 8 bytes, found " + to_string(file_size));
  }
  std::array<std::byte, kLengthBytes> length_bytes{};
  read_next(length_bytes);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(length_bytes[i]) << (8 * i);
  }
  if (length == 0 || length > kMaxHeader) {
    throw ModelFileError("not a model file: its header would have " + to_string(length) +
                         " bytes, expected 1 to " + to_string(kMaxHeader));
  }
  if (length > file_size - kLengthBytes) {
    throw ModelFileError("the file is truncated or not a model file: its header should have " +
                         to_string(length) + " bytes, but only " + to_string(file_size - kLengthBytes) +
                         " follow");
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  read_next(std::as_writable_bytes(std::span(text)));
  Header header = parse_header(text, file_size - kLengthBytes - length);

  text.replace(header.checksum_at, kBlankChecksum.size(), kBlankChecksum);
  std::uint32_t checksum = crc32(std::as_bytes(std::span(text)), crc32(length_bytes));
  ModelFile model;
  model.metadata = std::move(header.metadata);
  for (TensorEntry& entry : header.entries) {
    entry.tensor.bytes.resize(entry.size);
    read_next(entry.tensor.bytes);
    checksum = crc32(entry.tensor.bytes, checksum);
    model.tensors.push_back(std::move(entry.tensor));
  }
  if (checksum_digits(checksum) != header.checksum) {
    throw ModelFileError("the file is damaged: it gives the checksum " + header.checksum +
                         ", its content has " + checksum_digits(checksum));
  }
  return model;
}

// ---- Writing ----

std::string header_text(const ModelFile& model, const std::vector<const FileTensor*>& tensors) {
  std::map<std::string, std::string> metadata = model.metadata;
  for (const std::string_view key : kOwnMetadata) {
    if (metadata.contains(std::string(key))) {
      throw std::invalid_argument("the metadata " + shown(key) + " belongs to the file format");
    }
  }
  metadata["checksum"] = kBlankChecksum;
  metadata["format"] = "diabolo";
  metadata["format_version"] = to_string(kVersion);

  std::string text = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata) text += json_quote(key) + ":" + json_quote(value) + ",";
  text.back() = '}';
  std::size_t begin = 0;
  for (const FileTensor* const tensor : tensors) {
    text += "," + json_quote(tensor->name) + ":{\"dtype\":\"";
    for (const auto& [name, dtype] : kDTypes) {
      if (dtype == tensor->dtype) text += name;
    }
    text += "\",\"shape\":[";
    for (const std::int64_t size : tensor->shape) text += to_string(size) + ",";
    if (!tensor->shape.empty()) text.pop_back();
    const std::size_t end = begin + tensor->bytes.size();
    text += "],\"data_offsets\":[" + to_string(begin) + "," + to_string(end) + "]}";
    begin = end;
  }
  text += '}';
  text.append((kDataAlignment - (kLengthBytes + text.size()) % kDataAlignment) % kDataAlignment, ' ');
  return text;
}

}  // namespace

std::size_t byte_size(DType dtype) { return dtype == DType::F32 ? 4 : 8; }

ModelFile parse_model_file(std::span<const std::byte> file) {
  std::span<const std::byte> rest = file;
  return read_in_order(file.size(), [&rest](std::span<std::byte> out) {
    std::copy_n(rest.begin(), out.size(), out.begin());
    rest = rest.subspan(out.size());
  });
}

ModelFile read_model_file(const std::filesystem::path& path) {
  try {
    const RegularFile file(path);
    return read_in_order(file.size(), [&](std::span<std::byte> out) {
      if (file.read(out) < out.size()) throw ModelFileError("the file was truncated while it was read");
    });
  } catch (const ModelFileError& error) {
    throw ModelFileError(shown(path.native(), kMaxPathShown) + ": " + error.what());
  }
}

void write_model_file(const std::filesystem::path& path, const ModelFile& model) {
  std::vector<const FileTensor*> tensors;
  std::size_t data_size = 0;
  for (const FileTensor& tensor : model.tensors) {
    tensors.push_back(&tensor);
    data_size += tensor.bytes.size();
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto* a, const auto* b) { return a->name < b->name; });

  // The reader's own rules are the checks: what it would refuse is never written.
  std::string text;
  std::size_t checksum_at = 0;
  try {
    text = header_text(model, tensors);
    if (text.size() > kMaxHeader) {
      throw ModelFileError("the header exceeds " + to_string(kMaxHeader) + " bytes");
    }
    checksum_at = parse_header(text, data_size).checksum_at;
  } catch (const std::runtime_error& error) {
    throw std::invalid_argument(std::string("cannot save the model: ") + error.what());
  }

  std::array<std::byte, kLengthBytes> length_bytes{};
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length_bytes[i] = static_cast<std::byte>(text.size() >> (8 * i));
  }
  std::vector<std::span<const std::byte>> pieces = {length_bytes, std::as_bytes(std::span(text))};
  for (const FileTensor* const tensor : tensors) pieces.push_back(tensor->bytes);
  std::uint32_t checksum = 0;
  for (const std::span<const std::byte> piece : pieces) checksum = crc32(piece, checksum);
  // In place: the pieces still point into the text.
  text.replace(checksum_at, kBlankChecksum.size(), checksum_digits(checksum));
  replace_file(path, pieces);
}

}  // namespace diabolo

// A small strict JSON reader and string quoting; it leaves out writing whole values, and every leniency.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace diabolo {

/// The text is not JSON, or exceeds a limit. The message says what was expected and at which byte.
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct JsonNumber {
  double value = 0.0;
  std::optional<std::int64_t> integer;  // set when written without '.' or exponent, and it fits
};

struct JsonValue {
  using Array = std::vector<JsonValue>;
  using Object = std::vector<std::pair<std::string, JsonValue>>;  // in the order of the text; keys are unique

  std::variant<std::nullptr_t, bool, JsonNumber, std::string, Array, Object> value = nullptr;
  std::size_t offset = 0;  // of the value's first byte in the text, for messages and for editing in place

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }

  /// Each gives nullptr when the value is of another kind.
  [[nodiscard]] const bool* boolean() const { return std::get_if<bool>(&value); }
  [[nodiscard]] const JsonNumber* number() const { return std::get_if<JsonNumber>(&value); }
  [[nodiscard]] const std::string* string() const { return std::get_if<std::string>(&value); }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value); }
  [[nodiscard]] const Object* object() const { return std::get_if<Object>(&value); }

  /// The member of that name; nullptr when there is none, or when this is no object.
  [[nodiscard]] const JsonValue* find(std::string_view key) const;
};

/// A value costs some 50 bytes however short its text, so a limit on values is a limit on memory.
struct JsonLimits {
  int depth = 32;
  std::size_t values = 1'000'000;
};

/// Reads one JSON value (RFC 8259, UTF-8). Refuses duplicate keys, lone surrogates, numbers that do not fit a
/// double, and anything but white space after the value. Throws JsonError.
[[nodiscard]] JsonValue parse_json(std::string_view text, const JsonLimits& limits = {});

/// The text as a JSON string, quotes included. Throws JsonError if it is not UTF-8.
[[nodiscard]] std::string json_quote(std::string_view text);

/// How many leading bytes are well-formed UTF-8: the size of the text if all are.
[[nodiscard]] std::size_t utf8_prefix(std::string_view text);

}  // namespace diabolo

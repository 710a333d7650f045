// The strict JSON reader as a recursive descent with a depth limit; it leaves out error recovery.
#include "base/json.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace diabolo {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class Parser {
 public:
  Parser(std::string_view text, const JsonLimits& limits)
      : text_(text), values_left_(limits.values), limits_(limits) {}

  JsonValue document() {
    at_ = utf8_prefix(text_);
    if (at_ != text_.size()) fail("expected UTF-8");
    at_ = 0;
    skip_space();
    JsonValue result = value(0);
    skip_space();
    if (at_ != text_.size()) fail("expected the end of the text");
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw JsonError("invalid JSON at byte " + std::to_string(at_) + ": " + expected);
  }

  // '\0' at the end of the text: no rule below accepts it, so the end needs no case of its own.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  JsonValue value(int depth) {
    if (values_left_ == 0) fail("more than " + std::to_string(limits_.values) + " values");
    --values_left_;
    JsonValue result;
    result.offset = at_;
    if (peek() == '{') {
      result.value = object(depth + 1);
    } else if (peek() == '[') {
      result.value = array(depth + 1);
    } else if (peek() == '"') {
      result.value = string();
    } else if (peek() == '-' || is_digit(peek())) {
      result.value = number();
    } else if (take("true")) {
      result.value = true;
    } else if (take("false")) {
      result.value = false;
    } else if (!take("null")) {
      fail("expected a value");
    }
    return result;
  }

  void check_depth(int depth) const {
    if (depth > limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
  }

  JsonValue::Array array(int depth) {
    check_depth(depth);
    JsonValue::Array elements;
    take('[');
    skip_space();
    if (take(']')) return elements;
    do {
      skip_space();
      elements.push_back(value(depth));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']'");
    return elements;
  }

  JsonValue::Object object(int depth) {
    check_depth(depth);
    const std::size_t start = at_;
    JsonValue::Object members;
    take('{');
    skip_space();
    if (take('}')) return members;
    do {
      skip_space();
      if (peek() != '"') fail("expected a key in quotes");
      std::string key = string();
      skip_space();
      if (!take(':')) fail("expected ':'");
      skip_space();
      members.emplace_back(std::move(key), value(depth));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}'");
    refuse_duplicate_keys(members, start);
    return members;
  }

  // By sorting: an object with a million keys must not cost a million squared.
  void refuse_duplicate_keys(const JsonValue::Object& members, std::size_t start) {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin == keys.end()) return;
    at_ = start;
    const std::string_view shown = twin->substr(0, 60);
    fail("the object has the key " + json_quote(shown.substr(0, utf8_prefix(shown))) + " twice");
  }

  static bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20; }

  std::string string() {
    std::string result;
    take('"');
    while (!take('"')) {
      if (at_ == text_.size()) fail("expected the closing '\"' of a string");
      if (is_control(text_[at_])) fail("a control character must be escaped");
      if (take('\\')) {
        escape(result);
      } else {  // as one piece: a long string then takes its own memory once, where growing would take it
                // twice
        std::size_t end = at_;
        while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' && !is_control(text_[end]))
          ++end;
        result.append(text_.substr(at_, end - at_));
        at_ = end;
      }
    }
    return result;
  }

  void escape(std::string& result) {
    if (take('u')) {
      std::uint32_t code = hex4();
      if (code >= 0xD800 && code <= 0xDBFF) {
        const std::uint32_t low = take("\\u") ? hex4() : 0;
        if (low < 0xDC00 || low > 0xDFFF) fail("expected the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else if (code >= 0xDC00 && code <= 0xDFFF) {
        fail("the second half of a surrogate pair stands alone");
      }
      append_utf8(code, result);
      return;
    }
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const std::size_t which = at_ < text_.size() ? letters.find(text_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) fail("expected one of \"\\/bfnrtu after a backslash");
    result += meanings[which];
    ++at_;
  }

  std::uint32_t hex4() {
    std::uint32_t code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    const bool all = digits.size() == 4 && end == digits.data() + 4;
    if (!all || error != std::errc()) fail("expected four hex digits");
    at_ += 4;
    return code;
  }

  void take_digits() {
    if (!is_digit(peek())) fail("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  // The grammar is checked here because from_chars also takes "inf", "1." and leading zeros.
  JsonNumber number() {
    const std::size_t start = at_;
    bool whole = true;
    take('-');
    if (!take('0')) take_digits();
    if (take('.')) {
      whole = false;
      take_digits();
    }
    if (take('e') || take('E')) {
      whole = false;
      if (!take('-')) take('+');
      take_digits();
    }
    const char* const begin = text_.data() + start;
    const char* const end = text_.data() + at_;
    JsonNumber result;
    if (std::from_chars(begin, end, result.value).ec != std::errc()) {
      at_ = start;
      fail("the number does not fit a double");
    }
    std::int64_t integer = 0;
    if (whole && std::from_chars(begin, end, integer).ec == std::errc()) result.integer = integer;
    return result;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t values_left_;
  JsonLimits limits_;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  if (const Object* const members = object()) {
    for (const auto& [name, member] : *members) {
      if (name == key) return &member;
    }
  }
  return nullptr;
}

JsonValue parse_json(std::string_view text, const JsonLimits& limits) {
  return Parser(text, limits).document();
}

std::string json_quote(std::string_view text) {
  if (const std::size_t good = utf8_prefix(text); good != text.size()) {
    throw JsonError("expected UTF-8, found an invalid byte at " + std::to_string(good));
  }
  constexpr std::string_view hex = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      result += "\\u00";
      result += hex[byte >> 4];
      result += hex[byte & 15];
    } else {
      result += c;
    }
  }
  return result += '"';
}

std::size_t utf8_prefix(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t at = 0; at < text.size();) {
    const unsigned char first = byte(at);
    std::size_t length = 1;
    if (first >= 0x80) {
      // The range of the second byte excludes overlong forms, surrogates and all beyond U+10FFFF.
      unsigned char low = 0x80;
      unsigned char high = 0xBF;
      if (first < 0xC2 || first > 0xF4) return at;
      length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
      if (first == 0xE0) low = 0xA0;
      if (first == 0xED) high = 0x9F;
      if (first == 0xF0) low = 0x90;
      if (first == 0xF4) high = 0x8F;
      if (text.size() - at < length || byte(at + 1) < low || byte(at + 1) > high) return at;
      for (std::size_t i = at + 2; i < at + length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return at;
      }
    }
    at += length;
  }
  return text.size();
}

}  // namespace diabolo

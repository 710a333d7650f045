// Files of the operating system: regular ones read in order, and replaced whole in one step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace diabolo {

/// Closes a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return number_; }

 private:
  int number_;
};

/// A file opened to be read from its beginning. Folders, pipes and devices are refused. Throws
/// std::filesystem::filesystem_error, as do all here.
class RegularFile {
 public:
  explicit RegularFile(const std::filesystem::path& path);

  [[nodiscard]] std::uint64_t size() const { return size_; }  // when it was opened

  /// Reads the next bytes; fewer than asked for only where the file ends.
  [[nodiscard]] std::size_t read(std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  std::uint64_t size_;
};

/// Replaces the file in one step: at every moment, even if killed, there is the old file or the new one.
/// A symbolic link stays and its target is replaced. A replaced file passes on its permissions, but not its
/// owner nor its other hard links; a write-protected one is an error. After an error the old file is as it
/// was and no temporary remains; only a killed process leaves one, named .diabolo-*.tmp. (Should flushing the
/// folder fail at the very end, the error says that the new file is in place.)
void replace_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces);

}  // namespace diabolo

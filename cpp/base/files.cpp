// See files.h. By POSIX calls; other systems are left out.
#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

namespace diabolo {
namespace {

constexpr const char* kReading = "cannot read the file";
constexpr const char* kWriting = "cannot write the file";

// One call may move at most 2 GiB on Linux, and macOS refuses more.
constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;

[[noreturn]] void fail(const char* action, const std::filesystem::path& path, int error = errno) {
  throw std::filesystem::filesystem_error(action, path, std::error_code(error, std::generic_category()));
}

// Repeats a call that a signal interrupted.
template <class Call>
auto retry(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

// A path with a zero byte in it would name another file to the system.
void refuse_zero_byte(const std::filesystem::path& path) {
  if (path.native().find('\0') != std::string::npos) fail("the path has a zero byte", path, EINVAL);
}

void refuse_special_file(mode_t mode, const char* action, const std::filesystem::path& path) {
  if (S_ISDIR(mode)) fail(action, path, EISDIR);
  if (!S_ISREG(mode)) fail("it must be a regular file", path, EINVAL);
}

// O_NONBLOCK: opening a pipe must not wait for its writer.
int open_to_read(const std::filesystem::path& path) {
  refuse_zero_byte(path);
  const int file = retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (file < 0) fail(kReading, path);
  return file;
}

std::uint64_t size_of_regular(int file, const std::filesystem::path& path) {
  struct stat status{};
  if (::fstat(file, &status) != 0) fail(kReading, path);
  refuse_special_file(status.st_mode, kReading, path);
  return static_cast<std::uint64_t>(status.st_size);
}

void write_all(int file, std::span<const std::byte> rest, const std::filesystem::path& path) {
  while (!rest.empty()) {
    const std::size_t size = std::min(rest.size(), kMaxTransfer);
    const ssize_t count = retry([&] { return ::write(file, rest.data(), size); });
    if (count < 0) fail(kWriting, path);
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
}

// The file that a chain of symbolic links ends at; it need not exist.
std::filesystem::path resolve_links(const std::filesystem::path& path) {
  std::filesystem::path target = path;
  std::error_code ignored;  // whatever is wrong with the path, opening its folder will tell
  for (int links = 0; std::filesystem::is_symlink(target, ignored); ++links) {
    if (links == 40) fail(kWriting, path, ELOOP);  // Linux's own limit
    target = target.parent_path() / std::filesystem::read_symlink(target);
  }
  return target;
}

// A new file beside the one it is going to replace; removed again unless it was renamed.
class TemporaryFile {
 public:
  TemporaryFile(int folder, mode_t mode, const std::filesystem::path& path) : folder_(folder) {
    // The target's own name is left out: with anything added it might be too long.
    for (int attempt = 0; file_ < 0; ++attempt) {
      const auto now = std::chrono::system_clock::now().time_since_epoch().count();
      name_ = ".diabolo-" + std::to_string(::getpid()) + "-" + std::to_string(now) + "-" +
              std::to_string(attempt) + ".tmp";
      constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
      file_ = retry([&] { return ::openat(folder, name_.c_str(), flags, mode); });
      const bool taken = file_ < 0 && errno == EEXIST && attempt < 100;
      if (file_ < 0 && !taken) fail("cannot create a temporary file beside", path);
    }
  }
  ~TemporaryFile() {
    ::close(file_);
    if (!renamed_) ::unlinkat(folder_, name_.c_str(), 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int get() const { return file_; }

  void rename(const std::string& target, const std::filesystem::path& path) {
    if (::renameat(folder_, name_.c_str(), folder_, target.c_str()) != 0) {
      fail("cannot replace the file", path);
    }
    renamed_ = true;
  }

 private:
  int folder_;
  int file_ = -1;
  std::string name_;
  bool renamed_ = false;
};

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

RegularFile::RegularFile(const std::filesystem::path& path)
    : path_(path), file_(open_to_read(path)), size_(size_of_regular(file_.get(), path)) {}

std::size_t RegularFile::read(std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t size = std::min(out.size() - done, kMaxTransfer);
    const ssize_t count = retry([&] { return ::read(file_.get(), out.data() + done, size); });
    if (count < 0) fail(kReading, path_);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// The open folder serves every step, so that renaming it meanwhile cannot split them between two folders.
void replace_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces) {
  refuse_zero_byte(path);
  const std::filesystem::path target = resolve_links(path);
  const std::string name = target.filename().native();
  if (name.empty()) fail(kWriting, path, path.empty() ? ENOENT : EISDIR);
  const std::filesystem::path folder_path = target.has_parent_path() ? target.parent_path() : ".";
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const Descriptor folder(retry([&] { return ::open(folder_path.c_str(), flags); }));
  if (folder.get() < 0) fail("cannot open the folder of the file", path);

  mode_t mode = 0666;  // of a new file, less the umask
  struct stat old{};
  const bool replaces = ::fstatat(folder.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!replaces && errno != ENOENT) fail(kWriting, path);
  if (replaces) {
    refuse_special_file(old.st_mode, kWriting, path);
    // Renaming would ignore the write protection of the file itself.
    if (::faccessat(folder.get(), name.c_str(), W_OK, AT_EACCESS) != 0) fail(kWriting, path);
    mode = old.st_mode & 0777;
  }

  TemporaryFile temporary(folder.get(), mode, path);
  if (replaces) {
    // What the umask took away; only if it did, since some file systems know no permissions.
    struct stat created{};
    if (::fstat(temporary.get(), &created) != 0) fail(kWriting, path);
    if ((created.st_mode & 0777) != mode && ::fchmod(temporary.get(), mode) != 0) {
      fail("cannot keep the permissions of the file", path);
    }
  }
  for (const std::span<const std::byte> piece : pieces) write_all(temporary.get(), piece, path);
  if (retry([&] { return ::fsync(temporary.get()); }) != 0) fail("cannot flush the file to disk", path);
  temporary.rename(name, path);
  // EINVAL: the file system cannot flush folders, and there is nothing better to do.
  if (retry([&] { return ::fsync(folder.get()); }) != 0 && errno != EINVAL) {
    fail("the file was replaced, but flushing its folder to disk failed", path);
  }
}

}  // namespace diabolo

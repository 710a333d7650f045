// PassSpace: what one pass of rows through some layers needs, and a pool of those that nobody uses just now.
// A prediction of one row should not wait for the allocator.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/aligned.h"
#include "model/network.h"

namespace diabolo {

/// Buffers for up to `rows` rows of inference in `layers`.
class PassSpace {
 public:
  PassSpace(const Network& network, Range layers, Index rows);

  [[nodiscard]] bool serves(Range layers, Index rows) const {
    return layers.begin == layers_.begin && layers.end == layers_.end && rows <= rows_;
  }

  [[nodiscard]] const NetworkBuffers& buffers() const { return buffers_; }
  [[nodiscard]] MatrixView<float> lanes() const { return lanes_; }    // (rows, 16)
  [[nodiscard]] Index* source_rows() { return source_rows_.data(); }  // (rows)

 private:
  const Range layers_;
  const Index rows_;
  WorkspacePlan plan_;
  const NetworkBooking booking_;
  const WorkspacePlan::Buffer lanes_booking_;
  Workspace workspace_;
  const NetworkBuffers buffers_;
  const MatrixView<float> lanes_;
  AlignedBuffer<Index> source_rows_;
};

/// Spaces at rest. Any number of threads may borrow; a copy starts empty, for what it holds is no value.
class PassSpacePool {
 public:
  PassSpacePool() = default;
  PassSpacePool(const PassSpacePool&) {}
  PassSpacePool& operator=(const PassSpacePool&) { return *this; }

  /// A space that serves, or a new one.
  [[nodiscard]] std::unique_ptr<PassSpace> borrow(const Network& network, Range layers, Index rows);
  void give_back(std::unique_ptr<PassSpace> space);

 private:
  /// The encoder, the decoder and the whole network, for two threads each. More are freed.
  static constexpr std::size_t kMostAtRest = 6;

  std::mutex mutex_;
  std::vector<std::unique_ptr<PassSpace>> at_rest_;
};

}  // namespace diabolo

// See column_groups.h.
#include "model/column_groups.h"

#include "base/check.h"

namespace diabolo {

Index count_features(Index columns, const std::vector<Range>& groups) {
  Index features = columns;
  Index next = 0;
  for (const Range& group : groups) {
    require(next <= group.begin && group.begin < group.end && group.end <= columns,
            "groups of columns must be ascending ranges of a layer's units.");
    next = group.end;
    features -= group.size() - 1;
  }
  return features;
}

}  // namespace diabolo

/* Reads rows of floats from stdin and writes, for each, what the model makes of it to stdout: a score or, of a
 * classifier or regressor, its outputs. The header is one that every_kind.py has written; -DHEADER='"plain.h"'. */
#include <stdio.h>

#include HEADER

int main(void) {
  static float scratch[MODEL_SCRATCH];
  float x[MODEL_FEATURES];

  while (fread(x, sizeof x, 1, stdin) == 1) {
#ifdef MODEL_OUTPUTS
    float results[MODEL_OUTPUTS];
    model_predict(x, results, scratch);
#else
    const float results[1] = {model_score(x, scratch)};
#endif
    if (fwrite(results, sizeof results, 1, stdout) != 1) return 1;
  }
  return ferror(stdin) != 0;
}

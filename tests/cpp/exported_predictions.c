/* Does with rows of floats from stdin all that a header of a supervised estimator offers, and writes the results to
 * stdout. Compiled with -DHEADER='"m.h"', and with -DCLASSES if the outputs are those of classes. */
#include <stdio.h>

#include HEADER

static float scratch[M_SCRATCH];

int main(void) {
  M_INPUT x[M_FEATURES];
  float code[M_COMPONENTS], outputs[M_OUTPUTS], number = 0.0f;
  while (fread(x, sizeof x, 1, stdin) == 1) {
    m_encode(x, code, scratch);
    m_predict(x, outputs, scratch);
#ifdef CLASSES
    number = (float)m_class(x, scratch);
#endif
    if (fwrite(code, sizeof code, 1, stdout) != 1 || fwrite(outputs, sizeof outputs, 1, stdout) != 1 ||
        fwrite(&number, sizeof number, 1, stdout) != 1) {
      return 4;
    }
  }
  return 0;
}

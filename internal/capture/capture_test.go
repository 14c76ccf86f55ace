package capture

import (
	"testing"

	"go.uber.org/goleak"

	"doorbelld/internal/enum/enumtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFormatIsClosed(t *testing.T) {
	enumtest.RoundTrip(t, Formats())
	if Format(0).Valid() {
		t.Error("the zero Format is valid")
	}
}

func TestMonotonicNeverGoesBack(t *testing.T) {
	a := Monotonic()
	for range 1000 {
		b := Monotonic()
		if b < a {
			t.Fatalf("%v after %v", b, a)
		}
		a = b
	}
	if a <= 0 {
		t.Errorf("Monotonic = %v", a)
	}
}

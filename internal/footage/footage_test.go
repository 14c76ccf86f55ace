package footage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	above := t.TempDir()
	deep := filepath.Join(above, "repository", "internal", "deep")
	for _, folder := range []string{deep, filepath.Join(above, "elsewhere")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(above, "repository", "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	t.Setenv("DOORBELLD_MODELS", "")
	t.Setenv("DOORBELLD_MEDIA", "")

	beside := filepath.Join(above, "shared", "models")
	if folder, err := Models(); err == nil || !strings.Contains(err.Error(), beside+" is no folder; $DOORBELLD_MODELS says where") {
		t.Errorf("with nothing there: %q, %v", folder, err)
	}
	if err := os.MkdirAll(beside, 0o755); err != nil {
		t.Fatal(err)
	}
	if folder, err := Models(); err != nil || folder != beside {
		t.Errorf("beside the repository: %q, %v", folder, err)
	}
	if folder, err := Media(); err == nil {
		t.Errorf("models taken for media: %q", folder)
	}

	t.Setenv("DOORBELLD_MEDIA", filepath.Join(above, "elsewhere")+"/")
	if folder, err := Media(); err != nil || folder != filepath.Join(above, "elsewhere") {
		t.Errorf("named by the environment: %q, %v", folder, err)
	}
	t.Setenv("DOORBELLD_MODELS", "../shared/models")
	if folder, err := Models(); err == nil {
		t.Errorf("a folder that means another one in each test: %q", folder)
	}
	t.Chdir(above)
	t.Setenv("DOORBELLD_MODELS", "")
	if folder, err := Models(); err == nil {
		t.Errorf("outside of the repository: %q", folder)
	}
}

package config

import (
	"path/filepath"
	"strings"
)

// surroundings are what the default folders depend on.
type surroundings struct {
	env  func(string) string
	root bool // the program runs as root
}

// A place for files that the surroundings offer, and who offers it.
type offer struct{ folder, by string }

// state is the folder that systemd made, else the system's, else the user's.
func (a surroundings) state() offer {
	return first(
		offer{a.systemd("STATE_DIRECTORY"), "$STATE_DIRECTORY"},
		a.system("/var/lib/doorbelld"),
		offer{a.user("XDG_STATE_HOME", "doorbelld"), "$XDG_STATE_HOME"},
		offer{a.user("HOME", ".local/state/doorbelld"), "$HOME"},
	)
}

// runtime is chosen in the same order; without a login session there is none.
func (a surroundings) runtime() offer {
	return first(
		offer{a.systemd("RUNTIME_DIRECTORY"), "$RUNTIME_DIRECTORY"},
		a.system("/run/doorbelld"),
		offer{a.user("XDG_RUNTIME_DIR", "doorbelld"), "$XDG_RUNTIME_DIR"},
	)
}

// ModelsVariable is in the environment where a folder of models is not in the
// state folder: several programs may share one.
const ModelsVariable = "DOORBELLD_MODELS"

// readModels gives the folder that the environment names, else the one in the
// state folder. The file has no say in it: where models are installed, nothing
// has to be written.
func readModels(v value, around surroundings, state string) string {
	folder := around.env(ModelsVariable)
	switch {
	case folder == "" && state == "":
		return ""
	case folder == "":
		return filepath.Join(state, "models")
	case !filepath.IsAbs(folder):
		v.fault("looks for models in %s, the folder of $%s, which does not begin with /; give the whole path", quoted(folder), ModelsVariable)
		return ""
	}
	return filepath.Clean(folder)
}

// first gives the first offer with a folder, or else the names of those who
// could have made one.
func first(offers ...offer) offer {
	var askedOf []string
	for _, o := range offers {
		if o.folder != "" {
			return o
		}
		if o.by != "" {
			askedOf = append(askedOf, o.by)
		}
	}
	return offer{by: strings.Join(askedOf, " nor ")}
}

// systemd gives the first of the folders in a variable that systemd set.
func (a surroundings) systemd(variable string) string {
	folder, _, _ := strings.Cut(a.env(variable), ":")
	return folder
}

func (a surroundings) system(folder string) offer {
	if !a.root {
		return offer{}
	}
	return offer{folder: folder, by: "root"}
}

// user gives a folder below one of the user's.
func (a surroundings) user(variable, below string) string {
	folder := a.env(variable)
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, below)
}

// readFolder gives the folder that the file names, else the one on offer.
func readFolder(v value, otherwise offer) string {
	switch {
	case v.present():
		return v.file()
	case otherwise.folder == "":
		v.fault("is missing, and neither %s says where it could be; name a folder", otherwise.by)
		return ""
	case !filepath.IsAbs(otherwise.folder):
		v.fault("is missing, and the %s of %s does not begin with /; name a folder", quoted(otherwise.folder), otherwise.by)
		return ""
	}
	return filepath.Clean(otherwise.folder)
}

// within reports whether path is folder or lies in it. Both are absolute and
// clean.
func within(folder, path string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}

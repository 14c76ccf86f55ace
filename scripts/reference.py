#!/usr/bin/python3
"""Makes internal/detect/opencv/testdata/reference.csv: what the models' reference
decoder says of the test stills, for the decoder in Go to be compared with.

    scripts/reference.py MODELS STILLS > internal/detect/opencv/testdata/reference.csv

MODELS is the folder with the model files and, in reference/detectors.py, their
reference decoder; STILLS the folder of pictures. Needs python3-opencv. The table
holds numbers and file names only, one line for each box above a score of 0.25:
class of COCO, score, and the box in pixels of the still."""
import pathlib
import sys

import cv2

models, stills = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(models / "reference"))
import detectors

nets = {
    "fast": detectors.Darknet(str(models / "yolo-fastest-1.1-xl.cfg"), str(models / "yolo-fastest-1.1-xl.weights")),
    "careful": detectors.YOLOX(str(models / "yolox_nano.onnx")),
}
print("# OpenCV", cv2.__version__)
print("model,file,class,score,x,y,w,h")
for name, net in nets.items():
    for path in sorted(stills.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        for number, score, *box in net(picture):
            print(f"{name},{path.name},{number},{score:.4f}," + ",".join(f"{v:.1f}" for v in box))

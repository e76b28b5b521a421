# Faster R-CNN with a ResNet-18 at half its width on the photos of playing cards.
_base_ = '../transfer/examples/faster-rcnn_r18fpn_cards_scratch.py'
